package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// DebugAddress is where the daemon serves its debug pages, as clients take it.
func (d *Daemon) DebugAddress() string { return "unix://" + d.debugSocket() }

// Debug gets a page of the daemon's debug address, such as
// "/debug/pprof/goroutine?debug=2".
func (d *Daemon) Debug(ctx context.Context, page string) (string, error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", d.debugSocket())
		},
		DisableKeepAlives: true,
	}
	text, err := Get(ctx, transport, "http://daemon"+page)
	if err != nil {
		return "", fmt.Errorf("ask the daemon for %s: %w", page, err)
	}
	return text, nil
}

// Get returns the body of a successful answer.
func Get(ctx context.Context, transport http.RoundTripper, url string) (text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s", response.Status)
	}
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
