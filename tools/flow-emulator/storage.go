package main

import (
	"context"
	"database/sql/driver"

	"modernc.org/sqlite"
)

// withoutSync lets the database leave it to the machine when its pages reach the disk. The emulator
// writes every register of a block on its own, and waited for the disk after each: seconds for a
// transaction that touches many, and more than the 30 s after which its REST server closes a
// connection when the disk is busy. What is written survives the end of this process, a kill -9 too;
// it would not survive the end of the machine, which a local network does not have to.
func withoutSync() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		for _, pragma := range []string{"PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF"} {
			if _, err := conn.ExecContext(context.Background(), pragma, []driver.NamedValue{}); err != nil {
				return err
			}
		}
		return nil
	})
}
