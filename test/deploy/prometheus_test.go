package deploy

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

var (
	alertRule   = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	alertFires  = regexp.MustCompile(`(?m)^ +alertname: (\w+)\n +exp_alerts:$`)
	guardSeries = regexp.MustCompile(`(?m)^# TYPE (bkguard_\w+)`)
	seriesName  = regexp.MustCompile(`\b(?:bkguard|buildkit|go|process)_\w+`)
)

// alerts are the names of all alerts.
func alerts(t *testing.T) []string {
	t.Helper()
	return submatches(alertRule, read(t, deployed("prometheus/bkguard.rules.yml")))
}

func TestPrometheusUnderstandsTheRules(t *testing.T) {
	check(t, "", parts.Tool(t, "promtool"), "check", "rules", "--lint=all", "--lint-fatal", deployed("prometheus/bkguard.rules.yml"))
}

func TestEveryAlertIsSeenFiring(t *testing.T) {
	file := deployed("prometheus/bkguard.test.yml")
	check(t, "", parts.Tool(t, "promtool"), "test", "rules", file)
	assert.ElementsMatch(t, alerts(t), submatches(alertFires, read(t, file)))
}

// exportMetrics is what a guarded daemon under a memory limit shows after cache
// exports whose combinations were spared. Its switch file is the one of the manifests.
func exportMetrics(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mode")
	write(t, file, find(t, manifests(t, "base"), "ConfigMap", "buildkitd-switch").Data["mode"])
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	daemon := startDaemon(t, harness.DaemonOptions{
		Registries:  []string{registry.Host},
		Config:      "guard.switchFile = \"" + file + "\"\n",
		MemoryLimit: 512 << 20,
	})
	dockerfile := harness.RunSteps(base, 3)
	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
	_, err = daemon.Build(t.Context(), harness.Build{
		Dockerfile:  dockerfile,
		Output:      harness.PushOutput(registry.Host + "/image"),
		ExportCache: []string{"type=inline", "type=registry,mode=max,ref=" + registry.Host + "/cache"},
	})
	require.NoError(t, err)
	metrics, err := daemon.Debug(t.Context(), "/metrics")
	require.NoError(t, err)
	return metrics
}

// TestDaemonThatIsWell takes the metrics of a daemon that is well.
func TestDaemonThatIsWell(t *testing.T) {
	metrics := exportMetrics(t)
	t.Run("has every series that the rules ask for", func(t *testing.T) {
		for _, name := range seriesName.FindAllString(read(t, deployed("prometheus/bkguard.rules.yml")), -1) {
			assert.True(t, strings.Contains(metrics, "\n"+name+"{") || strings.Contains(metrics, "\n"+name+" "), name)
		}
	})
	t.Run("raises no alert", func(t *testing.T) {
		var test promTest
		for _, name := range alerts(t) {
			test.Alerts = append(test.Alerts, promAlert{EvalTime: "90m", Alertname: name})
		}
		promtool(t, scraped(t, metrics), test)
	})
	t.Run("leaves no panel of the dashboard empty", func(t *testing.T) {
		var test promTest
		for _, expr := range dashboardExprs(t) {
			test.Exprs = append(test.Exprs, promExpr{
				EvalTime: "90m",
				Expr:     "count(" + expr + ") > bool 0",
				Samples:  []promSample{{Labels: "{}", Value: 1}},
			})
		}
		promtool(t, scraped(t, metrics), test)
	})
	t.Run("has no series that the guide leaves out", func(t *testing.T) {
		series := submatches(guardSeries, metrics)
		require.NotEmpty(t, series)
		for _, name := range series {
			assert.True(t, described(t, name), name)
		}
	})
}
