// Package appspec translates infra.container_service and infra.api_gateway
// into the spec of an App Platform app, and an app's spec back into the
// configuration that would make it.
//
// It is pure: it asks nobody. What it makes is valid by DigitalOcean's
// description of its API, which lists less than the official client can send.
package appspec
