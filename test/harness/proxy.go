package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"time"
)

// Toxiproxy is a running toxiproxy, which makes proxies that can be broken.
type Toxiproxy struct {
	*server
	api string
}

var toxiproxyAddress = regexp.MustCompile(`Starting HTTP server on endpoint (127\.0\.0\.1:[0-9]+)`)

// StartToxiproxy starts the toxiproxy program and returns when it answers.
func StartToxiproxy(ctx context.Context, binary string) (*Toxiproxy, error) {
	s, host, err := startServer(ctx, "toxiproxy", toxiproxyAddress, func(string) (Command, error) {
		address, err := freeAddress()
		if err != nil {
			return Command{}, err
		}
		host, port, err := net.SplitHostPort(address)
		return Command{Path: binary, Args: []string{"-host", host, "-port", port}}, err
	})
	if err != nil {
		return nil, err
	}
	// It logs the address before it listens there.
	if err := s.answers(ctx, host); err != nil {
		return nil, errors.Join(fmt.Errorf("start toxiproxy: %w", err), s.Stop(ctx), s.Remove())
	}
	return &Toxiproxy{server: s, api: "http://" + host}, nil
}

// Proxy is a proxy before another server.
type Proxy struct {
	// Host is the address and port, as it stands in image names.
	Host string
	toxi *Toxiproxy
	path string
}

// toxic is the name of the one fault that a proxy can have.
const toxic = "fault"

// Proxy makes a proxy before a host.
func (t *Toxiproxy) Proxy(ctx context.Context, name, host string) (*Proxy, error) {
	var made struct {
		Listen string `json:"listen"`
	}
	err := t.send(ctx, http.MethodPost, "/proxies", map[string]any{
		"name": name, "listen": "127.0.0.1:0", "upstream": host, "enabled": true,
	}, &made)
	if err != nil {
		return nil, fmt.Errorf("make the proxy %s: %w", name, err)
	}
	return &Proxy{Host: made.Listen, toxi: t, path: "/proxies/" + name}, nil
}

// Cut ends every connection from now on when its client has sent more than so
// many bytes.
func (p *Proxy) Cut(ctx context.Context, bytes int) error {
	return p.fault(ctx, "limit_data", map[string]any{"bytes": bytes})
}

// Slow delays all that clients send from now on.
func (p *Proxy) Slow(ctx context.Context, delay time.Duration) error {
	return p.fault(ctx, "latency", map[string]any{"latency": delay.Milliseconds()})
}

func (p *Proxy) fault(ctx context.Context, kind string, attributes map[string]any) error {
	return p.toxi.send(ctx, http.MethodPost, p.path+"/toxics", map[string]any{
		"name": toxic, "type": kind, "stream": "upstream", "attributes": attributes,
	}, nil)
}

// Heal ends the fault.
func (p *Proxy) Heal(ctx context.Context) error {
	return p.toxi.send(ctx, http.MethodDelete, p.path+"/toxics/"+toxic, nil, nil)
}

// send makes a request and decodes the answer; nil stands for no body, and for
// an answer that does not matter.
func (t *Toxiproxy) send(ctx context.Context, method, path string, body, answer any) (err error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, t.api+path, &text)
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, got)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got, answer)
}
