package harness

import (
	"fmt"
	"os"
	"regexp"
)

var pulledBlob = regexp.MustCompile(`"GET /v2/(\S+)/blobs/(sha256:[0-9a-f]{64}) HTTP/1\.1" 200 `)

// Pulls returns how often each blob of a repository was downloaded, by digest.
func (r *Registry) Pulls(repository string) (map[string]int, error) {
	text, err := os.ReadFile(r.LogPath())
	if err != nil {
		return nil, fmt.Errorf("count pulls: %w", err)
	}
	pulls := map[string]int{}
	for _, m := range pulledBlob.FindAllStringSubmatch(string(text), -1) {
		if m[1] == repository {
			pulls[m[2]]++
		}
	}
	return pulls, nil
}
