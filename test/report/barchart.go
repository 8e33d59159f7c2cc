package main

import (
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// barChart compares a few things, each with the same bars.
type barChart struct {
	title  string
	y      string
	groups []string
	bars   []bar
}

// bar is one of the bars of each group.
type bar struct {
	label  string
	role   role
	values plotter.Values
	// write writes the value over the bar.
	write func(float64) string
}

func (c barChart) figure(t theme) (*figure, error) {
	const width = 30
	f := t.newFigure(c.title)
	f.Y.Label.Text = c.y
	var highest float64
	for n, b := range c.bars {
		bars, err := plotter.NewBarChart(b.values, width)
		if err != nil {
			return nil, err
		}
		bars.Color = t.roles[b.role]
		bars.LineStyle.Width = 0
		bars.Offset = vg.Length(float64(n)-float64(len(c.bars)-1)/2) * (width + 4)
		f.Add(bars)
		f.explain(b.label, bars)
		for group, v := range b.values {
			highest = max(highest, v)
			at := plotter.XY{X: float64(group), Y: v}
			if err := f.note(at, b.write(v), t.text, text.XCenter, vg.Point{X: bars.Offset, Y: 3}); err != nil {
				return nil, err
			}
		}
	}
	f.NominalX(c.groups...)
	f.X.Tick.Length = 0
	f.X.Min, f.X.Max = -0.5, float64(len(c.groups))-0.5
	f.Y.Min, f.Y.Max = 0, highest*1.1
	f.Y.Tick.Marker = majorTicks{}
	return f, nil
}
