//go:build !linux && !darwin && !windows

package state

// On other systems nothing is known of processes, so a lease is free only
// when it was given back or has expired.

func machineID() string { return "" }

func bootID() string { return "" }

func bootOf(id string) string { return id }

func processStart(int) (string, bool) { return "", false }
