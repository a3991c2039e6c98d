package main

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/psiemens/graceland"

	"github.com/onflow/flow-emulator/server"
)

// withoutDebugger takes the debug adapter out of the server: it listens on every interface of the
// machine, whatever --host says, and the server has no switch for it. The field is private, hence
// the reflection; the module is pinned, and another field name is an error here.
func withoutDebugger(emu *server.EmulatorServer) error {
	field := reflect.ValueOf(emu).Elem().FieldByName("debugger")
	if !field.IsValid() || field.Type() != reflect.TypeFor[graceland.Routine]() {
		return fmt.Errorf("this version of the emulator keeps its debugger elsewhere")
	}
	place := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
	place.Set(reflect.ValueOf(newIdle(func() {})))
	return nil
}
