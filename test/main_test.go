package test

import (
	"testing"

	"github.com/bkguard/bkguard/test/parts"
)

func TestMain(m *testing.M) { parts.Main(m) }
