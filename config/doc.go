// Package config reads the application file and the manifest: strict YAML in
// which every value knows its place, so that a mistake is reported with file,
// line and column, and all mistakes of a file in one run.
//
// It knows no environment and evaluates nothing: overlays, variables and
// expressions are package resolve's. What stands inside `config:` is checked
// against the provider's schema, also there.
package config
