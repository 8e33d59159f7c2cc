package main

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// lineChart shows how something grows.
type lineChart struct {
	title  string
	x, y   string
	xScale scale
	yScale scale
	lines  []line
	levels []level
}

// line is a row of points. Those that were killed lie where the daemon was
// killed, and are no part of the line.
type line struct {
	label  string
	role   role
	dashed bool
	points plotter.XYs
	killed plotter.XYs
}

// level is a value of the y axis that is marked, such as a limit.
type level struct {
	label string
	at    float64
}

func (c lineChart) figure(t theme) (*figure, error) {
	f := t.newFigure(c.title)
	f.X.Label.Text, f.Y.Label.Text = c.x, c.y
	var all plotter.XYs
	for _, l := range c.lines {
		if err := l.draw(f); err != nil {
			return nil, err
		}
		all = append(append(all, l.points...), l.killed...)
	}
	for _, l := range c.levels {
		if err := l.draw(f, all); err != nil {
			return nil, err
		}
		all = append(all, plotter.XY{X: all[0].X, Y: l.at})
	}
	xmin, xmax, ymin, ymax := plotter.XYRange(all)
	c.xScale.set(&f.X, xmin, xmax)
	c.yScale.set(&f.Y, ymin, ymax)
	return f, nil
}

func (l line) draw(f *figure) error {
	color := f.theme.roles[l.role]
	var thumbnails []plot.Thumbnailer
	if len(l.points) > 0 {
		points, dots, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return err
		}
		points.LineStyle = draw.LineStyle{Color: color, Width: 2}
		if l.dashed {
			points.Dashes = []vg.Length{5, 3}
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: color, Radius: 2.5, Shape: draw.CircleGlyph{}}
		f.Add(points, dots)
		thumbnails = append(thumbnails, points, dots)
	}
	if len(l.killed) > 0 {
		crosses, err := plotter.NewScatter(l.killed)
		if err != nil {
			return err
		}
		crosses.GlyphStyle = draw.GlyphStyle{Color: color, Radius: 5, Shape: boldCross{}}
		f.Add(crosses)
		last := l.killed[len(l.killed)-1]
		if err := f.note(last, "killed", color, text.XCenter, vg.Point{Y: 8}); err != nil {
			return err
		}
	}
	f.explain(l.label, thumbnails...)
	return nil
}

// draw marks the level from the leftmost to the rightmost of all points, with its
// label below.
func (l level) draw(f *figure, all plotter.XYs) error {
	xmin, xmax, _, _ := plotter.XYRange(all)
	mark, err := plotter.NewLine(plotter.XYs{{X: xmin, Y: l.at}, {X: xmax, Y: l.at}})
	if err != nil {
		return err
	}
	mark.LineStyle = draw.LineStyle{Color: f.theme.text, Width: 0.75, Dashes: []vg.Length{2, 2}}
	f.Add(mark)
	return f.note(plotter.XY{X: xmin, Y: l.at}, l.label, f.theme.text, text.XLeft, vg.Point{X: 4, Y: -13})
}

// boldCross marks what was killed.
type boldCross struct{}

// DrawGlyph draws it with a wider stroke than the cross of the library has.
func (boldCross) DrawGlyph(c *draw.Canvas, style draw.GlyphStyle, at vg.Point) {
	r := style.Radius
	for _, d := range []vg.Point{{X: r, Y: r}, {X: r, Y: -r}} {
		c.StrokeLine2(draw.LineStyle{Color: style.Color, Width: 2.5}, at.X-d.X, at.Y-d.Y, at.X+d.X, at.Y+d.Y)
	}
}
