// The tools of the voice model, which this page carries out.

const ZONES = new Map(
  Intl.supportedValuesOf('timeZone').map((zone) => [cityOf(zone).toLowerCase(), zone]),
);

const TOOLS = {
  get_local_time({ city }) {
    const zone = ZONES.get(`${city}`.trim().toLowerCase());
    if (!zone) {
      return `The time zone of ${city} is not known here.`;
    }
    const options = { timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
    return `${new Intl.DateTimeFormat('en-GB', options).format()} in ${city}`;
  },
};

/** The result of a call, as text; whatever goes wrong is the result, too, so that the model knows. */
export async function runTool(name, given) {
  if (!Object.hasOwn(TOOLS, name)) {
    return `There is no tool ${name}.`;
  }
  try {
    return await TOOLS[name](JSON.parse(given || '{}'));
  } catch (error) {
    return `The tool failed: ${error.message}`;
  }
}

function cityOf(zone) {
  return zone.split('/').at(-1).replaceAll('_', ' ');
}
