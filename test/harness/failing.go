package harness

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// idleTimeout is how long a proxy keeps a connection that nobody uses, or has not
// used yet.
const idleTimeout = 2 * time.Second

// FailingProxy is an HTTP proxy before another server that can answer 500 in
// its place. It closes connections that are idle for two seconds, as many do. It is
// safe for concurrent use.
type FailingProxy struct {
	// Host is the address and port, as it stands in image names.
	Host      string
	server    *http.Server
	transport *http.Transport
	// left counts down the requests that pass, answers those that fail then.
	left, answers atomic.Int64
}

// StartFailingProxy starts a proxy before a host; it lets all pass.
func StartFailingProxy(host string) (*FailingProxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &FailingProxy{Host: l.Addr().String(), transport: http.DefaultTransport.(*http.Transport).Clone()}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	forward.Transport = p.transport
	p.server = &http.Server{ReadHeaderTimeout: idleTimeout, IdleTimeout: idleTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.answers.Load() > 0 && p.left.Add(-1) < 0 && p.answers.Add(-1) >= 0 {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		forward.ServeHTTP(w, r)
	})}
	go func() { _ = p.server.Serve(l) }() // until Stop
	return p, nil
}

// Fail lets some requests pass and answers 500 to so many after them. Zero
// answers end the fault.
func (p *FailingProxy) Fail(after, answers int64) {
	p.left.Store(after)
	p.answers.Store(answers)
}

// Stop ends all connections.
func (p *FailingProxy) Stop() error {
	err := p.server.Close()
	p.transport.CloseIdleConnections()
	return err
}
