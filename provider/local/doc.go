// Package local is the built-in provider "local": it makes the portable types
// real on this machine. A database is a SQLite file or a Postgres of its own,
// a container service runs from the image's layers behind a loopback proxy,
// storage is a folder. Everything stays under one folder per environment
// (sdk.ConfigureRequest.WorkDir), but for sockets and, when wfctl runs as
// root, database files that another user must reach.
//
// What must outlive a command runs under a supervisor process; see package
// supervisor. The provider isolates nothing: a service runs as the user who
// runs wfctl. It keeps no secret on disk except a database's or cache's
// generated password and a certificate's private key, in files of mode 0600.
package local
