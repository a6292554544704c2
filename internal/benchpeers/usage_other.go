//go:build !unix

package main

import "os"

// usage is not known on this system.
func usage(*os.ProcessState) (peak, written int64) { return 0, 0 }
