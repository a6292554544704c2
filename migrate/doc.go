// Package migrate changes the schema of a database by numbered SQL files, on
// SQLite and Postgres. It reads goose's files and golang-migrate's, keeps
// goose's version table through pressly/goose, and adds what a deployment
// needs: a lease, so that two at once do it once; the hash of what was
// applied, so that a changed file is refused; the statement that a failed
// migration got to, and its repair. It provisions no database and never shows
// the password of one.
package migrate
