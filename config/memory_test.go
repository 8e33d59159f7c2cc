package config

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryOf(t *testing.T) {
	for text, want := range map[string]uint64{
		"512MB":  512 << 20, // units are binary
		"1GiB":   1 << 30,
		"100":    100,
		"5%":     50,
		"0.5%":   5,
		"100%":   1000,
		" 5.0 %": 50,
	} {
		m, err := ParseMemory(text)
		require.NoError(t, err, text)
		require.Equal(t, want, m.Of(1000), text)
	}
	require.Zero(t, Memory{Off: true}.Of(1000))
}

func TestParseMemoryRefuses(t *testing.T) {
	for _, text := range []string{"", "0", "-1", "0%", "101%", "NaN%", "-5%", "x%", "5%%", "9999999999GB"} {
		_, err := ParseMemory(text)
		require.Error(t, err, text)
	}
}

func TestMemoryStringReadsBack(t *testing.T) {
	for _, m := range []Memory{{Bytes: 512 << 20}, {Percent: 2.5}} {
		got, err := ParseMemory(m.String())
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
}

// FuzzParseMemory compares with numbers that do not run out of bits.
func FuzzParseMemory(f *testing.F) {
	for _, text := range []string{
		"512MB", "1.5 GiB", "0.5%", " 5.0 %", "100.0000000001%", "1e3kb", "8EiB", "7.9eb", "9223372036854775807", "9007199254740993",
		"1p", "-1", "NaN%", "+Inf%", "1e-400%", "0x1p-2%", "\xff1MB", "1\nMB",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMemory(text)
		if err != nil {
			require.Equal(t, Memory{}, m)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.False(t, m.Off)
		number, isShare := strings.CutSuffix(text, "%")
		if isShare {
			require.Zero(t, m.Bytes)
			require.Positive(t, m.Percent)
			require.LessOrEqual(t, m.Percent, 100.0)
			require.LessOrEqual(t, m.Of(1<<40), uint64(1<<40))
		} else {
			require.Zero(t, m.Percent)
			require.Positive(t, m.Bytes)
			require.EqualValues(t, m.Bytes, m.Of(1<<40), "the limit does not matter")
			number = strings.TrimRight(strings.ToLower(text), "bi")
		}
		if want, ok := scaled(strings.TrimSpace(number)); ok {
			got := new(big.Float).SetInt64(m.Bytes)
			if isShare {
				got.SetFloat64(m.Percent)
			}
			difference := new(big.Float).Sub(got, want)
			tolerance := new(big.Float).Mul(want, big.NewFloat(1e-12))
			require.LessOrEqual(t, difference.Abs(difference).Cmp(tolerance.Add(tolerance, big.NewFloat(1))), 0, "%q is %+v, not %s", text, m, want)
		}

		again, err := ParseMemory(m.String())
		if m.Bytes > 1<<62 {
			return // rounded up it may be more than a size can be
		}
		require.NoError(t, err)
		require.InEpsilon(t, float64(m.Bytes)+m.Percent, float64(again.Bytes)+again.Percent, 1e-3, "four digits are printed")
	})
}

// scaled reads a number and the letter of its unit; it knows plain decimals only.
func scaled(text string) (*big.Float, bool) {
	exponent := 0
	if n := len(text) - 1; n > 0 {
		if i := strings.IndexByte("kmgtpezy", text[n]); i >= 0 {
			exponent, text = 10*(i+1), text[:n]
		}
	}
	text = strings.TrimSpace(text)
	if strings.Trim(text, "0123456789.") != "" {
		return nil, false
	}
	number, ok := new(big.Float).SetPrec(200).SetString(text)
	if !ok {
		return nil, false
	}
	return number.Mul(number, new(big.Float).SetMantExp(big.NewFloat(1), exponent)), true
}
