"""The demo merchant: real purchases of a public data set, told by made-up people. See README.md."""
