package install

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// apiServer stands in for the API server of a cluster, of which there is none here: it keeps
// what is created, and says that a StatefulSet has its pod.
type apiServer struct {
	*httptest.Server
	mu sync.Mutex
	// created are the objects in the binary form of the client, by what they are and where.
	created map[string][]byte
}

func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{created: map[string][]byte{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // and the client reports it
		}
		s.created[r.URL.Path] = body
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, found := s.created[path.Dir(r.URL.Path)]; !found {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		return
	}
	_, _ = io.WriteString(w, `{"kind":"StatefulSet","apiVersion":"apps/v1","status":{"readyReplicas":1}}`)
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: here, namespace: builds}}]
clusters: [{name: here, cluster: {server: "SERVER"}}]
users: [{name: here, user: {token: none}}]
`

// testKubernetesDriver has buildx create a builder, and the code of the API server check what it
// sends.
func (p *page) testKubernetesDriver(t *testing.T) {
	s := startAPIServer(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "buildkitd.toml"), p.block(t, "buildx-config"))
	write(t, filepath.Join(dir, "kubeconfig"), strings.Replace(kubeconfig, "SERVER", s.URL, 1))
	script := strings.ReplaceAll(p.block(t, "kubernetes-driver"), "docker buildx", parts.Tool(t, "buildx"))
	run(t, harness.Command{Path: "/bin/sh", Args: []string{"-euxc", script}, Dir: dir, Env: []string{
		"HOME=" + dir, "BUILDX_CONFIG=" + filepath.Join(dir, "buildx"), "KUBECONFIG=" + filepath.Join(dir, "kubeconfig"),
	}})

	s.mu.Lock()
	defer s.mu.Unlock()
	require.Len(t, s.created, 2)
	set := kubecheck(t, s.created["/apis/apps/v1/namespaces/builds/statefulsets"])
	assert.Contains(t, set, `"name":"guarded0"`)
	assert.Contains(t, set, `"image":"registry.example.com/bkguard:`)
	assert.Contains(t, set, `"limits":{"memory":"8Gi"}`)
	config := kubecheck(t, s.created["/api/v1/namespaces/builds/configmaps"])
	assert.Contains(t, config, "switchFile = '/run/buildkit/guard-mode'")
}

// kubecheck has the code of the API server check objects, and returns them as JSON.
func kubecheck(t *testing.T, objects []byte) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), parts.Tool(t, "kubecheck"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(objects), &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s%s", &stdout, &stderr)
	return stdout.String()
}

// testKubernetes builds the kustomization of the page, for both kinds of daemon.
func (p *page) testKubernetes(t *testing.T) {
	text := p.block(t, "kubernetes")
	require.Contains(t, text, "- ../deploy/kubernetes/base\n")
	for _, variant := range []string{"base", "rootless"} {
		// kustomize wants resources that are relative.
		dir := t.TempDir()
		deploy, err := filepath.Rel(dir, absolute(t, "deploy"))
		require.NoError(t, err)
		own := strings.NewReplacer("../deploy/kubernetes/base", deploy+"/kubernetes/"+variant, "newName: registry", "newName: other").Replace(text)
		write(t, filepath.Join(dir, "kustomization.yaml"), own)
		out := run(t, harness.Command{Path: parts.Tool(t, "kustomize"), Args: []string{"build", dir}})
		assert.Contains(t, kubecheck(t, []byte(out)), `"image":"other.example.com/bkguard:`)
	}
}
