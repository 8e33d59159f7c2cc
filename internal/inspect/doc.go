// Package inspect reads a build cache from a registry or from a directory, and finds what
// an import of it would lose. It knows upstream's format (cache/remotecache/v1/types) and
// asks of it what upstream's importer does (cache/remotecache/import.go).
//
// Caches of type s3, azblob and gha are not read.
package inspect
