package deploy

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/parts"
)

// promTests is a file for promtool test rules, as JSON, which is YAML too.
type promTests struct {
	RuleFiles          []string   `json:"rule_files"`
	EvaluationInterval string     `json:"evaluation_interval"`
	Tests              []promTest `json:"tests"`
}

type promTest struct {
	Interval    string       `json:"interval"`
	InputSeries []promSeries `json:"input_series"`
	Alerts      []promAlert  `json:"alert_rule_test,omitempty"`
	Exprs       []promExpr   `json:"promql_expr_test,omitempty"`
}

type promSeries struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

// promAlert expects that an alert does not fire.
type promAlert struct {
	EvalTime  string `json:"eval_time"`
	Alertname string `json:"alertname"`
}

type promExpr struct {
	EvalTime string       `json:"eval_time"`
	Expr     string       `json:"expr"`
	Samples  []promSample `json:"exp_samples"`
}

type promSample struct {
	Labels string  `json:"labels"`
	Value  float64 `json:"value"`
}

// promtool runs a test on series that keep their values.
func promtool(t *testing.T, series []promSeries, test promTest) {
	t.Helper()
	rules, err := filepath.Abs(deployed("prometheus/bkguard.rules.yml"))
	require.NoError(t, err)
	test.Interval, test.InputSeries = "1m", series
	text, err := json.Marshal(promTests{
		RuleFiles:          []string{rules},
		EvaluationInterval: "1m",
		Tests:              []promTest{test},
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "test.yml")
	write(t, file, string(text))
	check(t, "", parts.Tool(t, "promtool"), "test", "rules", file)
}

var metricLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? (\S+)$`)

// scraped is what Prometheus makes of a page of metrics, for two hours.
func scraped(t *testing.T, metrics string) []promSeries {
	t.Helper()
	var all []promSeries
	for line := range strings.Lines(metrics) {
		m := metricLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			require.True(t, strings.HasPrefix(line, "#"), line)
			continue
		}
		all = append(all, promSeries{
			Series: m[1] + `{job="buildkitd",instance="a:6060",` + m[2] + `}`,
			Values: m[3] + "x120",
		})
	}
	return all
}
