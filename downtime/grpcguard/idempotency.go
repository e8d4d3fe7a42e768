package grpcguard

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/upkeep-go/upkeep/downtime"
)

// Idempotency is the effect that a method's definition declares: Read for
//
//	rpc Get(GetRequest) returns (Order) { option idempotency_level = NO_SIDE_EFFECTS; }
//
// and Write for all others, also for those of which no definition is linked into the
// program. For an [Options].Classify of your own it is what to fall back on.
func Idempotency(fullMethod string) downtime.Effect {
	service, name, _ := cut(fullMethod)
	// A service of that name has it below itself: package.Service.Method.
	full := protoreflect.FullName(strings.Trim(service, "/") + "." + name)
	found, _ := protoregistry.GlobalFiles.FindDescriptorByName(full) // nil: there is none
	if definition, ok := found.(protoreflect.MethodDescriptor); ok {
		options, ok := definition.Options().(*descriptorpb.MethodOptions)
		if ok && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
			return downtime.EffectRead
		}
	}
	return downtime.EffectWrite
}
