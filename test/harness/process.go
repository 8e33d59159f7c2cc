package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// killDelay is how long a process may take to end after SIGTERM.
const killDelay = 20 * time.Second

// Command describes a program to run. Path is required.
type Command struct {
	Path string
	Args []string
	// Dir is the working directory; empty means that of the caller.
	Dir string
	// Env is the whole environment but for PATH, which is the caller's.
	Env []string
	// Output receives stdout and stderr; nil discards them.
	Output io.Writer
	// Cgroup is where the process starts; nil means the caller's own.
	Cgroup *Cgroup
	// PrivateMounts gives the process a mount namespace of its own, so that
	// its mounts end with it.
	PrivateMounts bool
}

// Process is a running child that leads a session of its own. The kernel kills
// it when the process that started it dies. It is safe for concurrent use.
type Process struct {
	pid   int
	done  chan struct{}
	state *os.ProcessState // set before done is closed
	err   error            // set before done is closed
}

// children holds the processes that have a goroutine waiting for them. The
// lock is held from before a process exists until it is registered.
var children = struct {
	sync.Mutex
	pids map[int]bool
}{pids: map[int]bool{}}

// Start starts the program and returns at once. The caller must call Stop, or
// wait until Done is closed.
func Start(c Command) (*Process, error) {
	if err := adoptOrphans(); err != nil {
		return nil, err
	}
	p := &Process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Pdeathsig fires when the thread that forked ends, not when the
		// process does: this goroutine keeps its thread until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd, err := p.launch(c)
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		p.state = cmd.ProcessState
		children.Lock()
		delete(children.pids, p.pid)
		children.Unlock()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	return p, nil
}

func (p *Process) launch(c Command) (*exec.Cmd, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.Env...)
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	cmd.WaitDelay = killDelay
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if c.PrivateMounts {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	if c.Cgroup != nil {
		release, err := c.Cgroup.enter(cmd)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	children.Lock()
	defer children.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	children.pids[p.pid] = true
	return cmd, nil
}

// Done is closed when the process has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// State returns how the process ended. It may be called only after Done is
// closed.
func (p *Process) State() *os.ProcessState { return p.state }

// Stop asks the process to end, kills its session when it does not or when ctx
// ends, and returns when it was waited for. Stopping twice is fine.
func (p *Process) Stop(ctx context.Context) error {
	select {
	case <-p.done:
		return killSession(ctx, p.pid)
	default:
	}
	if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop process %d: %w", p.pid, err)
	}
	delay := time.NewTimer(killDelay)
	defer delay.Stop()
	select {
	case <-p.done:
	case <-ctx.Done():
	case <-delay.C:
	}
	return p.Kill(ctx)
}

// Kill kills the process and its session with SIGKILL, and returns when it was
// waited for.
func (p *Process) Kill(ctx context.Context) error {
	if err := killSession(ctx, p.pid); err != nil {
		return err
	}
	<-p.done
	// What it had not waited for itself becomes a child of this process only now.
	return reap()
}

// Run runs the program to its end and returns what it wrote. It is killed when
// ctx ends. A status other than zero is an *exec.ExitError.
func Run(ctx context.Context, c Command) (string, error) {
	var out bytes.Buffer
	if c.Output == nil {
		c.Output = &out
	} else {
		c.Output = io.MultiWriter(&out, c.Output)
	}
	p, err := Start(c)
	if err != nil {
		return "", err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		if err := killSession(ctx, p.pid); err != nil {
			return "", err
		}
		<-p.done
		return out.String(), fmt.Errorf("run %s: %w", c.Path, context.Cause(ctx))
	}
	if p.err != nil {
		return out.String(), fmt.Errorf("run %s: %w", c.Path, p.err)
	}
	return out.String(), nil
}

// killSession kills every process of the session that pid leads or led, and
// reaps those that have become children of this process.
func killSession(ctx context.Context, pid int) error {
	return killAll(ctx, func(s status) bool { return s.session == pid })
}

// killAll kills the processes that match, until none is left. It does so even
// when ctx has ended.
func killAll(ctx context.Context, match func(status) bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killDelay)
	defer cancel()
	return poll(ctx, "killed processes", func() (bool, error) {
		all, err := processes()
		if err != nil {
			return false, err
		}
		left := false
		for _, s := range all {
			if !match(s) || s.pid == os.Getpid() {
				continue
			}
			if s.state != 'Z' {
				left = true
				if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					return false, fmt.Errorf("kill process %d: %w", s.pid, err)
				}
			}
		}
		return !left, reap()
	})
}

func proc(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}
