package main

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStagesStandOnTheirImages(t *testing.T) {
	for name, tc := range map[string]struct {
		text      string
		arguments map[string]string
		platform  string
		want      []stage
	}{
		"every instruction that makes a layer": {
			text: "FROM a\nLABEL x=y\nENV x=y\nRUN a\nRUN <<EOF\nb\nc\nEOF\nCOPY a b c/\nADD a /\nWORKDIR /a\nUSER 1\nCMD a\n",
			want: []stage{{name: "0", base: "a", steps: 5}},
		},
		"a stage on a stage": {
			text: "FROM a AS One\nRUN a\nFROM one AS two\nRUN b\nFROM two\nRUN c\n",
			want: []stage{{name: "one", base: "a", steps: 1}, {name: "two", base: "a", steps: 2}, {name: "2", base: "a", steps: 3}},
		},
		"a name counts from where it is": {
			text: "FROM two\nFROM b AS two\n",
			want: []stage{{name: "0", base: "two"}, {name: "two", base: "b"}},
		},
		"defaults of arguments": {
			text: "ARG V=1\nARG I=img:$V\nFROM ${I:-none}\nARG V=2\n",
			want: []stage{{name: "0", base: "img:1"}},
		},
		"arguments of the build": {
			text:      "ARG V=1\nARG I=img:$V\nFROM $I\n",
			arguments: map[string]string{"V": "2", "unknown": "x"},
			want:      []stage{{name: "0", base: "img:2"}},
		},
		"another escape": {
			text: "# escape=`\nFROM `\n  a\nRUN a `\n  b\n",
			want: []stage{{name: "0", base: "a", steps: 1}},
		},
		"platforms": {
			text:     "FROM --platform=$BUILDPLATFORM a AS build\nFROM --platform=linux/s390x b\nFROM c-$TARGETOS-$TARGETARCH$TARGETVARIANT\nFROM build\n",
			platform: "linux/arm/v7",
			want: []stage{
				{name: "build", base: "a", platform: "linux/" + runtime.GOARCH},
				{name: "1", base: "b", platform: "linux/s390x"},
				{name: "2", base: "c-linux-armv7", platform: "linux/arm/v7"},
				{name: "3", base: "a", platform: "linux/" + runtime.GOARCH},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			stages, err := parseStages("Dockerfile", strings.NewReader(tc.text), tc.arguments, tc.platform)
			require.NoError(t, err)
			assert.Equal(t, tc.want, stages)
		})
	}
}

func TestFaultyDockerfilesAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "file with no instructions",
		"ARG A=1\n":           "no FROM instruction",
		"RUN a\n":             "no build stage in current context",
		"\nFROM a\nFROM $X\n": "Dockerfile:3: the base image $X is empty",
		"FROM ${A:?missing}":  ": A: missing",
	} {
		_, err := parseStages("Dockerfile", strings.NewReader(text), nil, "")
		assert.ErrorContains(t, err, want, text)
		assert.ErrorContains(t, err, "Dockerfile:", text)
	}
}

// FuzzParseStages reads any Dockerfile, for a platform and with one argument.
func FuzzParseStages(f *testing.F) {
	for _, text := range []string{
		"FROM a\nRUN a\nCOPY a b\n",
		"ARG X=1\nFROM ${X:-a} AS one\nFROM --platform=$BUILDPLATFORM one\nWORKDIR /a\n",
		"# escape=`\nFROM `\n  a\nADD a b\n",
		"# syntax=a\nFROM a\nRUN <<EOF\nb\nEOF\n",
		"FROM scratch AS 0\nFROM 0 AS 1\nFROM 1\nCOPY --from=0 a b\n",
		"FROM $TARGETOS-$TARGETARCH$TARGETVARIANT\nONBUILD RUN a\n",
		"FROM ${X:?missing}\n", "FROM ${", "FROM a AS a\nFROM a AS a\nFROM A\n", "ARG A=$A$X\nFROM $A\n",
	} {
		f.Add(text, "linux/arm/v7", "x")
		f.Add(text, "", "")
	}
	f.Fuzz(func(t *testing.T, text, platform, argument string) {
		arguments := map[string]string{"X": argument}
		stages, err := parseStages("Dockerfile", strings.NewReader(text), arguments, platform)
		again, againErr := parseStages("Dockerfile", strings.NewReader(text), arguments, platform)
		require.Equal(t, stages, again)
		if err != nil {
			require.EqualError(t, againErr, err.Error())
			require.True(t, strings.HasPrefix(err.Error(), "Dockerfile:"), err)
			require.Empty(t, stages)
			return
		}
		require.NotEmpty(t, stages)
		lines := strings.Count(text, "\n") + 1
		for _, s := range stages {
			require.NotEmpty(t, s.base)
			require.NotEmpty(t, s.name)
			require.LessOrEqual(t, s.steps, lines, "an instruction takes a line")
		}
	})
}
