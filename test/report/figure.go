package main

import (
	"fmt"
	"image/color"
	"os"
	"strings"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figure is a plot under a title and a row of legends, which so hide nothing.
type figure struct {
	*plot.Plot
	theme   theme
	title   string
	legends []legend
}

type legend struct {
	label  string
	thumbs []plot.Thumbnailer
}

// newFigure is an empty figure in the colours of the theme.
func (t theme) newFigure(title string) *figure {
	p := plot.New()
	p.BackgroundColor = t.background
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color = t.text
		axis.Tick.Color = t.text
		axis.Label.Padding = 4
		t.write(&axis.Label.TextStyle, 11)
		t.write(&axis.Tick.Label, 10)
	}
	grid := plotter.NewGrid()
	grid.Horizontal = draw.LineStyle{Color: t.grid, Width: 0.75}
	grid.Vertical.Color = nil
	p.Add(grid)
	return &figure{Plot: p, theme: t, title: title}
}

// explain adds a legend.
func (f *figure) explain(label string, thumbs ...plot.Thumbnailer) {
	f.legends = append(f.legends, legend{label, thumbs})
}

// note writes text above a point that is moved by an offset.
func (f *figure) note(at plotter.XY, note string, c color.Color, x text.XAlignment, offset vg.Point) error {
	labels, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{at}, Labels: []string{note}})
	if err != nil {
		return err
	}
	style := &labels.TextStyle[0]
	f.theme.write(style, 10)
	style.Color, style.XAlign, style.YAlign = c, x, text.YBottom
	labels.Offset = offset
	f.Add(labels)
	return nil
}

const (
	figureWidth  vg.Length = 540
	figureHeight vg.Length = 300
	margin       vg.Length = 10
	titleHeight  vg.Length = 22
	legendHeight vg.Length = 22
	legendGap    vg.Length = 14
)

// save draws the figure into a file. Readers need not have the font that it was
// laid out in: Arial is as wide.
func (f *figure) save(path string) error {
	canvas := vgsvg.New(figureWidth, figureHeight)
	area := draw.New(canvas)
	area.SetColor(f.BackgroundColor)
	area.Fill(area.Path())
	area = draw.Crop(area, margin, -margin, margin, -margin)
	f.drawTitle(area)
	f.drawLegends(draw.Crop(area, 0, 0, 0, -titleHeight))
	f.Draw(draw.Crop(area, 0, 0, 0, -titleHeight-legendHeight))
	var svg strings.Builder
	if _, err := canvas.WriteTo(&svg); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	portable := strings.ReplaceAll(svg.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,Arial,Helvetica,sans-serif;")
	return os.WriteFile(path, []byte(portable), 0o644)
}

func (f *figure) drawTitle(c draw.Canvas) {
	style := f.Title.TextStyle
	f.theme.write(&style, 13)
	style.Font.Weight = font.WeightBold
	style.XAlign, style.YAlign = text.XLeft, text.YTop
	c.FillText(style, vg.Point{X: c.Min.X, Y: c.Max.Y}, f.title)
}

func (f *figure) drawLegends(c draw.Canvas) {
	for _, l := range f.legends {
		one := plot.NewLegend()
		f.theme.write(&one.TextStyle, 10)
		one.Top, one.Left, one.ThumbnailWidth = true, true, 24
		one.Add(l.label, l.thumbs...)
		one.Draw(c)
		c.Min.X += one.ThumbnailWidth + one.TextStyle.Width(l.label) + legendGap
	}
}
