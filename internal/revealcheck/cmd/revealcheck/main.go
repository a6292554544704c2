// Command revealcheck is the analyzer as a vet tool:
//
//	go vet -vettool=bin/revealcheck ./...
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/gocodealone/wfctl/internal/revealcheck"
)

func main() { unitchecker.Main(revealcheck.Analyzer) }
