package harness

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFailingProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	p, err := StartFailingProxy(strings.TrimPrefix(server.URL, "http://"))
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.Stop()) }()
	transport := &http.Transport{DisableKeepAlives: true}
	answers := func(count int) []bool {
		var ok []bool
		for range count {
			_, err := Get(t.Context(), transport, "http://"+p.Host)
			ok = append(ok, err == nil)
		}
		return ok
	}

	assert.Equal(t, []bool{true, true}, answers(2))
	p.Fail(1, 2)
	assert.Equal(t, []bool{true, false, false, true, true}, answers(5))
	p.Fail(0, 5)
	assert.Equal(t, []bool{false}, answers(1))
	p.Fail(0, 0)
	assert.Equal(t, []bool{true}, answers(1))
}
