import { describe } from 'vitest'
import { attestorContract } from '../../ports/attestor-contract.js'
import { laneContract } from '../../ports/lane-contract.js'
import { settlerContract } from '../../ports/settler-contract.js'
import { modelEvmLane, modelFlare, modelFlow, modelFlowLane } from './model-worlds.js'

// Goal: what the simulation takes for the world behaves as the world does. Method: the models pass
// the same contracts as the adapters do on real engines.

describe('the model of Flare', () => attestorContract(modelFlare))
settlerContract('the model of Flow', modelFlow)
describe('the model of an EVM key', () => laneContract(modelEvmLane))
describe('the model of a Flow key', () => laneContract(modelFlowLane))
