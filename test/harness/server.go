package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// startDelay is how long a server may take until it is ready.
const startDelay = time.Minute

// server is a program that serves on loopback, from a directory of its own. The
// kernel chooses the port, and the program logs which one.
type server struct {
	name    string
	dir     string
	process *Process
}

// startServer starts a program and returns what its log says about the address:
// the first group of the pattern. The command is made for the directory.
func startServer(ctx context.Context, name string, address *regexp.Regexp, command func(dir string) (Command, error)) (*server, string, error) {
	dir, err := TempDir()
	if err != nil {
		return nil, "", err
	}
	s := &server{name: name, dir: dir}
	found, err := s.start(ctx, address, command)
	if err != nil {
		text, _ := os.ReadFile(s.LogPath())
		return nil, "", errors.Join(fmt.Errorf("start the %s: %w", name, err), errors.New(string(text)), s.Stop(ctx), s.Remove())
	}
	return s, found, nil
}

func (s *server) start(ctx context.Context, address *regexp.Regexp, command func(dir string) (Command, error)) (found string, err error) {
	c, err := command(s.dir)
	if err != nil {
		return "", err
	}
	log, err := os.Create(s.LogPath())
	if err != nil {
		return "", err
	}
	defer log.Close()
	c.Output = log
	if s.process, err = Start(c); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, startDelay)
	defer cancel()
	err = poll(ctx, "its address", func() (bool, error) {
		if err := s.ended(); err != nil {
			return false, err
		}
		text, err := os.ReadFile(s.LogPath())
		if m := address.FindSubmatch(text); m != nil {
			found = string(m[1])
		}
		return found != "", err
	})
	return found, err
}

// ended is an error if the server has ended by itself.
func (s *server) ended() error {
	select {
	case <-s.process.Done():
		return fmt.Errorf("the %s has ended: %v", s.name, s.process.State())
	default:
		return nil
	}
}

// answers waits until the server listens on an address.
func (s *server) answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startDelay)
	defer cancel()
	return poll(ctx, "an answer from "+address, func() (bool, error) {
		if err := s.ended(); err != nil {
			return false, err
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			return false, nil
		}
		return true, c.Close()
	})
}

// freeAddress is an address on loopback that nobody listens on, for a program
// that would not say which one the kernel has chosen.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// LogPath is the file with all that the server has written.
func (s *server) LogPath() string { return filepath.Join(s.dir, s.name+".log") }

// Stop stops the server.
func (s *server) Stop(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	return s.process.Stop(ctx)
}

// Remove removes the server's files. Call Stop first.
func (s *server) Remove() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove the files of the %s: %w", s.name, err)
	}
	return nil
}
