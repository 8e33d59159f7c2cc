package main

import (
	"image/color"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
)

// role is what a colour stands for, in all charts.
type role int

const (
	roleStock role = iota
	roleGuarded
	roleOther
)

// theme is a set of colours for pages that are light or dark.
type theme struct {
	name                   string
	background, text, grid color.Color
	roles                  map[role]color.Color
}

// themes follow the colours of the pages that GitHub shows.
var themes = []theme{
	{"light", rgb(0xffffff), rgb(0x1f2328), rgb(0xd8dee4), map[role]color.Color{
		roleStock: rgb(0xcf222e), roleGuarded: rgb(0x0969da), roleOther: rgb(0x6e7781),
	}},
	{"dark", rgb(0x0d1117), rgb(0xe6edf3), rgb(0x30363d), map[role]color.Color{
		roleStock: rgb(0xff7b72), roleGuarded: rgb(0x58a6ff), roleOther: rgb(0x9198a1),
	}},
}

func rgb(c uint32) color.Color {
	return color.NRGBA{R: uint8(c >> 16), G: uint8(c >> 8), B: uint8(c), A: 0xff}
}

// write makes a style that of plain text of a size in points.
func (t theme) write(style *text.Style, size font.Length) {
	style.Color = t.text
	style.Font.Typeface = "Liberation"
	style.Font.Variant = "Sans"
	style.Font.Size = size
}
