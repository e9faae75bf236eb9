"""MinIO, an S3 server, built from its Go module: the community edition is released as source only.

`go.mod` pins the version, `go.sum` what every module's text must hash to. MinIO is under the AGPL-3.0: nothing here
imports it or hands it on; who builds it runs it as a process of its own.
"""
