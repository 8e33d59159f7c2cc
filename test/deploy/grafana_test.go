package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/parts"
)

const dashboard = "grafana/bkguard.json"

// TestDashboardHasGrafanasTypes checks the dashboard against Grafana's schema,
// unknown fields and the options of each kind of panel included.
func TestDashboardHasGrafanasTypes(t *testing.T) {
	modules := filepath.Join(parts.Tool(t, "grafana"), "node_modules")
	dir := t.TempDir()
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
	write(t, filepath.Join(dir, "check.ts"), read(t, filepath.Join(root, "tools/grafana/check.ts")))
	file := filepath.Join(dir, "dashboard.ts")
	write(t, file, "import type { Checked } from './check';\nexport const dashboard: Checked = "+read(t, deployed(dashboard))+";\n")
	check(t, "", filepath.Join(modules, ".bin", "tsc"), "--noEmit", "--strict", "--skipLibCheck",
		"--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext", file)
}

// dashboardExprs are the queries of all panels, with the variables filled in.
func dashboardExprs(t *testing.T) []string {
	t.Helper()
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, deployed(dashboard))), &board))
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	var exprs []string
	for _, panel := range board.Panels {
		require.NotEmpty(t, panel.Targets)
		for _, target := range panel.Targets {
			expr := variables.Replace(target.Expr)
			require.NotContains(t, expr, "$")
			exprs = append(exprs, expr)
		}
	}
	return exprs
}
