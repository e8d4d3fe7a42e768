package grpcguard

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/upkeep-go/upkeep/downtime"
)

// Idempotency returns the effect that a method's definition declares: EffectRead for
//
//	rpc Get(GetRequest) returns (Order) { option idempotency_level = NO_SIDE_EFFECTS; }
//
// and EffectWrite for all other methods, including those whose definition is not linked into
// the program. Use it as the fallback of your own [Options].Classify.
func Idempotency(fullMethod string) downtime.Effect {
	service, name, _ := cut(fullMethod)
	full := protoreflect.FullName(strings.Trim(service, "/") + "." + name) // package.Service.Method
	found, _ := protoregistry.GlobalFiles.FindDescriptorByName(full)       // nil if it is missing
	if definition, ok := found.(protoreflect.MethodDescriptor); ok {
		options, ok := definition.Options().(*descriptorpb.MethodOptions)
		if ok && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
			return downtime.EffectRead
		}
	}
	return downtime.EffectWrite
}
