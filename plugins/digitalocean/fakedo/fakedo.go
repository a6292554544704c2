// Package fakedo is a stateful stand-in for the public API of DigitalOcean.
package fakedo
