package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"text/template"

	units "github.com/docker/go-units"
)

//go:embed page.md.tmpl
var pageText string

// pageTemplate is the page as it is written around the tables and plots of data.
var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"plot":           func(name, alt string) string { return picture("benchmarks/", name, alt) },
	"rounds":         func() int { return rounds },
	"steps":          func() int { return steps },
	"uploadLayers":   func() int { return uploadBase.Layers },
	"uploadSize":     func() string { return units.HumanSize(float64(uploadBase.LayerSize)) },
	"crowdLayers":    func() int { return crowdLayers },
	"overheadRounds": func() int { return overheadRounds },
	"roomy":          func() string { return size(roomy) },
	"base":           func() int { return importBase.Layers },
	"layer":          func() string { return size(int64(importBase.LayerSize)) },
}).Parse(pageText))

// picture is a plot in the colours of the reader's page.
func picture(dir, name, alt string) string {
	return fmt.Sprintf(`<picture>
  <source media="(prefers-color-scheme: dark)" srcset="%s%s-dark.svg">
  <img alt="%s" src="%s%s-light.svg">
</picture>`, dir, name, alt, dir, name)
}

// writePage writes the page from what was measured.
func (d *data) writePage(path string) error { return d.execute(pageTemplate, path) }

// execute writes a page from what was measured.
func (d *data) execute(t *template.Template, path string) error {
	var page bytes.Buffer
	if err := t.Execute(&page, d); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, page.Bytes(), 0o644)
}
