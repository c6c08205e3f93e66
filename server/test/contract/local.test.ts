import { openLocalBus } from '../../src/local/bus.ts'
import { busContract } from './bus.contract.ts'

busContract('one process', async (options) => openLocalBus(options))
