// Package project is the built-in provider of what belongs to the project
// itself: its images, migrations and gates. It adapts packages build, migrate
// and verify to the provider contract, so that plan, apply and state know
// resources alone. It decides nothing of its own.
package project
