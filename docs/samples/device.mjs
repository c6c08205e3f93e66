// A device as the Azure IoT SDK for Node makes it: provisions itself by its certificate, connects, sends a few messages.
//   node device.mjs CERTIFICATE-CHAIN PRIVATE-KEY REGISTRATION-ID
//   node device.mjs --hub HOST CERTIFICATE-CHAIN PRIVATE-KEY DEVICE-ID     without provisioning
// The environment says where: IOT_PROVISIONING_DEVICE_ENDPOINT, IOT_PROVISIONING_DEVICE_IDSCOPE, NODE_EXTRA_CA_CERTS.
import { readFileSync } from 'node:fs'
import device from 'azure-iot-device'
import { Mqtt } from 'azure-iot-device-mqtt'
import provisioning from 'azure-iot-provisioning-device'
import { Mqtt as ProvisioningTransport } from 'azure-iot-provisioning-device-mqtt'
import { X509Security } from 'azure-iot-security-x509'

const parameters = process.argv.slice(2)
const knownHub = parameters[0] === '--hub' ? parameters.splice(0, 2)[1] : null
const [chainFile, keyFile, id] = parameters
const identity = { cert: readFileSync(chainFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }

const { hub, deviceId } = knownHub === null ? await register() : { hub: knownHub, deviceId: id }
const client = device.Client.fromConnectionString(`HostName=${hub};DeviceId=${deviceId};x509=true`, Mqtt)
await client.setOptions(identity)
await client.open()
for (const temperature of [21.5, 22, 22.5]) {
  const body = JSON.stringify({ temperature })
  const message = new device.Message(body)
  message.contentType = 'application/json'
  message.contentEncoding = 'utf-8'
  message.properties.add('alarm', String(temperature > 22))
  await client.sendEvent(message)
  console.log(`acknowledged: ${body}`)
}
await client.close()

async function register() {
  const { IOT_PROVISIONING_DEVICE_ENDPOINT: host, IOT_PROVISIONING_DEVICE_IDSCOPE: idScope } = process.env
  const security = new X509Security(id, identity)
  const transport = new ProvisioningTransport()
  const client = provisioning.ProvisioningDeviceClient.create(host, idScope, transport, security)
  const { assignedHub, deviceId } = await client.register()
  console.log(`assigned to hub ${assignedHub} as ${deviceId}`)
  return { hub: assignedHub, deviceId }
}
