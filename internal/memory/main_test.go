package memory

import (
	"io"
	"testing"

	"github.com/moby/buildkit/util/bklog"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// captureLog returns what is logged until the test ends, which is not printed.
func captureLog(tb testing.TB) *logtest.Hook {
	tb.Helper()
	hook := logtest.NewLocal(bklog.L.Logger)
	out := bklog.L.Logger.Out
	bklog.L.Logger.SetOutput(io.Discard)
	tb.Cleanup(func() {
		bklog.L.Logger.SetOutput(out)
		bklog.L.Logger.ReplaceHooks(logrus.LevelHooks{})
	})
	return hook
}
