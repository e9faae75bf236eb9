// Forms the replica set and makes the user that Muniment is. Run by the service `mongo-init` with mongosh, on mongo1,
// as its administrator. Done twice, it changes nothing.
const hosts = ["mongo1", "mongo2", "mongo3"];

try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "muniment", members: hosts.map((host, id) => ({ _id: id, host: `${host}:27017` })) });
}

// Whichever of them became the primary; the driver waits for it.
const root = encodeURIComponent(process.env.MONGO_ROOT_PASSWORD);
const admin = new Mongo(`mongodb://root:${root}@${hosts.join(",")}/admin?replicaSet=muniment`).getDB("admin");
const user = process.env.MUNIMENT_MONGODB_USER;
if (!admin.getUser(user)) {
  admin.createUser({
    user: user,
    pwd: process.env.MUNIMENT_MONGODB_PASSWORD,
    // Its own database and no other: it makes its collection and indexes there.
    roles: [{ role: "readWrite", db: "muniment" }],
  });
}
print(`the replica set and the user ${user} are there`);
