package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInsecureIsPlainHTTP(t *testing.T) {
	for insecure, want := range map[bool]string{false: "https", true: "http"} {
		s := imageSource{insecure: insecure}
		ref, err := s.parse("registry.example.com/image:tag")
		require.NoError(t, err)
		assert.Equal(t, want, ref.Context().Scheme())
	}
}
