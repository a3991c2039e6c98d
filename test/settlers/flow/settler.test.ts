import { settlerContract } from '../../ports/settler-contract.js'
import { beginFlowWorld } from './settler-world.js'

settlerContract('flow', beginFlowWorld)
