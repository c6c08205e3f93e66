/** Bytes and texts as device SDKs were seen to send them; `decoded` is what they mean. */

export const RECORDED_TOPICS = [
  {
    client: 'Node SDK, every system property',
    bag: '%24.mid=m%201&%24.cid=c%2F1&%24.uid=u&%24.to=%2Fx&%24.ct=application%2Fjson&%24.ce=utf-8&%24.exp=1970-01-01T00%3A00%3A00.000Z&p%20k=v%2B%2F%26%3D%C3%A9&%24.sub=comp',
    decoded: {
      properties: {
        messageId: 'm 1',
        correlationId: 'c/1',
        userId: 'u',
        to: '/x',
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        expiry: '1970-01-01T00:00:00.000Z',
        subject: 'comp',
      },
      application: { 'p k': 'v+/&=é' },
    },
  },
  {
    client: 'C# SDK, trailing slash',
    bag: 'a=b/',
    decoded: { properties: {}, application: { a: 'b' } },
  },
  {
    client: 'C SDK without encoding: raw values, stray percent signs, slashes',
    bag: '$.ct=application/json&load=100%&path=/a/b&half=%4',
    decoded: {
      properties: { contentType: 'application/json' },
      application: { load: '100%', path: '/a/b', half: '%4' },
    },
  },
  {
    client: 'a plus is a plus, a key may have no value, the last of two wins',
    bag: 'a+b=c+d&bare&empty=&twice=1&twice=2&&',
    decoded: { properties: {}, application: { 'a+b': 'c+d', bare: '', empty: '', twice: '2' } },
  },
  {
    client: 'an identity that a device claims in the bag is not taken from it',
    bag: '%24.cdid=other&%24.cmid=m&%24.diagid=1&%24.unknown=x',
    decoded: { properties: {}, application: {} },
  },
  {
    client: 'names that JavaScript objects have already',
    bag: '__proto__=a&constructor=b&hasOwnProperty=c',
    decoded: {
      properties: {},
      application: Object.fromEntries([
        ['__proto__', 'a'],
        ['constructor', 'b'],
        ['hasOwnProperty', 'c'],
      ]),
    },
  },
  { client: 'no property at all', bag: '', decoded: { properties: {}, application: {} } },
] as const

const HUB = 'hub.example.com'
const device = { kind: 'hub', host: HUB, deviceId: 'dev1', moduleId: null, modelId: null } as const
const registration = { kind: 'provisioning', scope: '0ne00000001', registrationId: 'dev1' } as const

export const RECORDED_USER_NAMES = [
  {
    client: 'Node, with a raw model id',
    clientId: 'dev1',
    userName: `${HUB}/dev1/?api-version=2021-04-12&model-id=dtmi:com:example:T;1&DeviceClientType=azure-iot-device%2F1.18.4`,
    decoded: { ...device, modelId: 'dtmi:com:example:T;1' },
  },
  {
    client: 'C and C#, with an encoded model id',
    clientId: 'dev1',
    userName: `${HUB}/dev1/?api-version=2020-09-30&DeviceClientType=x&auth-chain=a%3Bb&model-id=dtmi%3Acom%3Aexample%3AT%3B1`,
    decoded: { ...device, modelId: 'dtmi:com:example:T;1' },
  },
  {
    client: 'Java module',
    clientId: 'dev1/mod1',
    userName: `${HUB}/dev1/mod1/?api-version=2020-09-30`,
    decoded: { ...device, moduleId: 'mod1' },
  },
  {
    client: 'documentation without ?',
    clientId: 'dev1',
    userName: `${HUB}/dev1/api-version=2016-11-14`,
    decoded: device,
  },
  { client: 'documentation, bare', clientId: 'dev1', userName: `${HUB}/dev1`, decoded: device },
  {
    client: 'a host with its port',
    clientId: 'dev1',
    userName: `${HUB}:48883/dev1/?api-version=2021-04-12`,
    decoded: { ...device, host: `${HUB}:48883` },
  },
  {
    client: 'an id of every character that ids may have',
    clientId: "a-:.+%_#*?!(),=@;$'",
    userName: `${HUB}/a-:.+%_#*?!(),=@;$'/?api-version=2021-04-12`,
    decoded: { ...device, deviceId: "a-:.+%_#*?!(),=@;$'" },
  },
  {
    client: 'a device called registrations with a module',
    clientId: 'registrations/m',
    userName: `${HUB}/registrations/m/?api-version=2021-04-12`,
    decoded: { ...device, deviceId: 'registrations', moduleId: 'm' },
  },
  {
    client: 'Node provisioning',
    clientId: 'dev1',
    userName:
      '0ne00000001/registrations/dev1/api-version=2019-03-31&ClientVersion=azure-iot-provisioning-device%2F1.9.1',
    decoded: registration,
  },
  {
    client: 'provisioning in another spelling of the id',
    clientId: 'DEV1',
    userName: '0ne00000001/registrations/dev1/api-version=2021-06-01',
    decoded: registration,
  },
  { client: 'another device', clientId: 'dev1', userName: `${HUB}/dev2/?api-version=2021-04-12`, decoded: null },
  { client: 'a longer id', clientId: 'dev1', userName: `${HUB}/dev12/?api-version=2021-04-12`, decoded: null },
  { client: 'another spelling', clientId: 'dev1', userName: `${HUB}/DEV1`, decoded: null },
  {
    client: 'another registration',
    clientId: 'dev1',
    userName: '0ne/registrations/dev2/api-version=2019-03-31',
    decoded: null,
  },
  { client: 'no host', clientId: 'dev1', userName: '/dev1', decoded: null },
  { client: 'no id', clientId: '', userName: `${HUB}/`, decoded: null },
  { client: 'nothing', clientId: 'dev1', userName: '', decoded: null },
  { client: 'three levels', clientId: 'a/b/c', userName: `${HUB}/a/b/c`, decoded: null },
] as const
