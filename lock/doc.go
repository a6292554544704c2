// Package lock decides which plugins a project runs and proves that it runs
// those: exact pins in the manifest wfctl.yaml, hashes for every platform in
// the lockfile .wfctl-lock.yaml, verified downloads, signatures, and a store
// that all projects share. Commands that change pins write both files; what
// installs or runs obeys the lockfile alone.
//
// It starts no plugin (package pluginhost does) and does not read the
// application file, except to migrate pins of the old shape out of it. The
// keys of wfctl.yaml that are not about plugins belong to package config.
package lock
