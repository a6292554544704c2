// Package core is the built-in provider of what needs no platform: core.data
// holds values and reports them as outputs, core.command runs commands. It
// starts no shell, keeps no files and knows nothing of the graph.
package core
