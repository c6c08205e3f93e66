// A device as somebody who knows nothing of Holdfast writes it: the SDK's own sample, told where to go by its arguments.
// Arguments: provisioning host, id scope, registration id, chain file, key file, hub port, messages.
import { readFileSync } from 'node:fs'
import deviceSdk from 'azure-iot-device'
import deviceMqtt from 'azure-iot-device-mqtt'
import provisioningSdk from 'azure-iot-provisioning-device'
import provisioningMqtt from 'azure-iot-provisioning-device-mqtt'
import x509Security from 'azure-iot-security-x509'

const [host, scope, id, chainFile, keyFile, port, count] = process.argv.slice(2)
const identity = { cert: readFileSync(chainFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
const provisioning = provisioningSdk.ProvisioningDeviceClient.create(
  host,
  scope,
  new provisioningMqtt.Mqtt(),
  new x509Security.X509Security(id, identity),
)
const { assignedHub, deviceId } = await provisioning.register()
const client = deviceSdk.Client.fromConnectionString(
  `HostName=${assignedHub}:${port};DeviceId=${deviceId};x509=true`,
  deviceMqtt.Mqtt,
)
await client.setOptions(identity)
await client.open()
for (let n = 1; n <= Number(count); n++) {
  const message = new deviceSdk.Message(JSON.stringify({ n }))
  message.properties.add('alarm', String(n === 2))
  await client.sendEvent(message)
}
await client.close()
console.log(`${deviceId} at ${assignedHub}`)
