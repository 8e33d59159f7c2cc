package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bkguard/bkguard/guard"
)

// askTimeout is how long a daemon may take to answer.
const askTimeout = 5 * time.Second

// daemon is a running buildkitd that serves its debug pages.
type daemon struct {
	// address is as the user has given it.
	address string
	// network and host are what to dial.
	network, host string
}

// newDaemon reads a debug address in the forms of buildkitd, "unix:///path",
// "tcp://host:port" and "host:port", and "http://host:port" too.
func newDaemon(address string) (daemon, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "tcp", address
	}
	switch scheme {
	case "unix":
		if rest != "" {
			return daemon{address, "unix", rest}, nil
		}
	case "tcp", "http":
		host := strings.TrimSuffix(rest, "/")
		_, port, err := net.SplitHostPort(host)
		if _, portErr := strconv.ParseUint(port, 10, 16); err == nil && portErr == nil {
			return daemon{address, "tcp", host}, nil
		}
	}
	return daemon{}, fmt.Errorf("debug address %q is neither host:port nor unix:///path", address)
}

// status asks the daemon what its guard is doing. The error names the daemon.
func (d daemon) status(ctx context.Context) (guard.Status, error) {
	s, err := d.ask(ctx)
	if err != nil {
		return guard.Status{}, fmt.Errorf("daemon at %s: %w", d.address, err)
	}
	return s, nil
}

// ask does the same, with an error that does not name it.
func (d daemon) ask(ctx context.Context) (guard.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://buildkitd/debug/vars", http.NoBody)
	if err != nil {
		return guard.Status{}, err
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, d.network, d.host)
		},
		DisableKeepAlives: true,
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return guard.Status{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return guard.Status{}, fmt.Errorf("no debug pages: %s", response.Status)
	}
	var vars struct {
		Guard *guard.Status `json:"bkguard"`
	}
	if err := json.NewDecoder(response.Body).Decode(&vars); err != nil {
		return guard.Status{}, fmt.Errorf("read its answer: %w", err)
	}
	if vars.Guard == nil {
		return guard.Status{}, errors.New("no guard in it")
	}
	return *vars.Guard, nil
}
