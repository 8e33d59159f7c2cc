// Package uploads measures and tries the exporters of upstream that hold layers in
// memory while they send them. It is in the module of the daemon, which has their
// SDKs.
package uploads

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// server keeps nothing of what is sent to it, in the words of s3 and of azblob.
type server struct {
	*httptest.Server
	// sending counts the layers or parts of layers on their way, received their bytes.
	sending, received atomic.Int64
	// resume lets the bodies of layers be read; they wait until it is closed.
	resume chan struct{}
	once   sync.Once
}

// newServer returns a server that reads no layer before go on.
func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{resume: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(func() {
		s.goOn()
		s.Close()
	})
	return s
}

// goOn lets the server read all layers, from now on.
func (s *server) goOn() { s.once.Do(func() { close(s.resume) }) }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodHead || r.Method == http.MethodGet:
		if query.Get("restype") == "container" {
			return
		}
		w.Header().Set("x-ms-error-code", "BlobNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	case r.Method == http.MethodPost && query.Has("uploads"):
		fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
		return
	case r.Method == http.MethodPost:
		fmt.Fprint(w, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
		return
	}
	if strings.Contains(r.URL.Path, "/blobs/") && query.Get("comp") != "blocklist" {
		s.sending.Add(1)
		defer s.sending.Add(-1)
		select {
		case <-s.resume:
		case <-r.Context().Done():
			return
		}
	}
	n, _ := io.Copy(io.Discard, r.Body)
	s.received.Add(n)
	w.Header().Set("ETag", `"x"`)
	w.WriteHeader(map[bool]int{true: http.StatusCreated, false: http.StatusOK}[strings.HasPrefix(r.URL.Path, "/azure")])
}
