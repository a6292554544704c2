// Package project is the built-in provider of what belongs to the project
// itself: its images and their way to registries, migrations, gates and
// secrets. It adapts packages build, build/push, migrate, verify and deliver to
// the provider contract, so that plan, apply and state know resources alone.
// It decides nothing of its own.
package project
