//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// usage reads the peak memory and the blocks written of an ended process, in
// KiB. Block output is what went to the file system, pages that were dropped
// before it left out.
func usage(p *os.ProcessState) (peak, written int64) {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, 0
	}
	peak = int64(u.Maxrss) //nolint:unconvert // 32 bits on some systems
	if runtime.GOOS == "darwin" {
		peak /= 1024
	}
	return peak, int64(u.Oublock) / 2 //nolint:unconvert // blocks of 512 bytes
}
