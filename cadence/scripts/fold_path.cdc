import "FlareLightClient"

/// The root that a path leads to from `start`. One rule for Flare's trees and ours.
///
access(all) fun main(start: UInt256, path: [UInt256]): UInt256 {
    return FlareLightClient.rootFromPath(start, path)
}
