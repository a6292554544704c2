// Package state keeps what is known of an environment's resources as an
// append-only log over a small [Driver]. The one primitive it needs is to put
// an entry if its sequence number is free: that gives linearizable writes and
// fences off a writer that lost its lease. Leases, group commit, snapshots
// and the materialised view live here, once; drivers are the sub-packages.
// It never sees a sensitive value in plain: who writes a record has replaced
// them.
package state
