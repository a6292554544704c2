// Package shipping holds the tests of images from source to where they run,
// with real registries and a real Docker engine: `make test-services`.
package shipping
